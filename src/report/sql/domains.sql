with week as (
  select domain, sum(citations) as citations, rank() over (order by sum(citations) desc) as place
  from domain_citations, period
  where date >= week_from
  group by domain
), before as (
  select domain, sum(citations) as citations, rank() over (order by sum(citations) desc) as place
  from domain_citations, period
  where date < week_from
  group by domain
), totals as (
  select (select sum(citations) from week) as week, (select sum(citations) from before) as before,
    (select count(*) from week) as total
)
select week.place, week.domain, cast(week.citations as double) as citations,
  cast(week.citations as double) / totals.week as share,
  cast(week.citations as double) / totals.week - cast(coalesce(before.citations, 0) as double) / totals.before as change,
  before.place as place_before, totals.total
from week
cross join totals
left join before on before.domain = week.domain
order by week.citations desc, week.domain
limit 10
