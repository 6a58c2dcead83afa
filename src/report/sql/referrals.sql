with week as (
  select source, sum(visits) as visits
  from referral_visits, period
  where date >= week_from
  group by source
), before as (
  select source, sum(visits) as visits
  from referral_visits, period
  where date < week_from and date >= before_from
  group by source
)
select week.source, cast(week.visits as double) as visits,
  cast(week.visits as double) / before.visits - 1 as change, count(*) over () as total
from week
left join before on before.source = week.source and before.visits > 0
order by week.visits desc, week.source
limit 10
