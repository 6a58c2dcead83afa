with week as (
  select bot, max(provider) as provider, sum(visits) as visits
  from bot_visits, period
  where date >= week_from
  group by bot
), before as (
  select bot, sum(visits) as visits
  from bot_visits, period
  where date < week_from and date >= before_from
  group by bot
)
select week.bot, week.provider, cast(week.visits as double) as visits,
  cast(week.visits as double) / before.visits - 1 as change, count(*) over () as total
from week
left join before on before.bot = week.bot and before.visits > 0
order by week.visits desc, week.bot
limit 10
