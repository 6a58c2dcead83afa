with placed as (
  select purpose, row_number() over (order by sum(visits) desc, purpose) as place, count(*) over () as total
  from bot_visits
  group by purpose
)
select placed.place, placed.total, bot_visits.purpose, bot_visits.date, cast(sum(bot_visits.visits) as double) as visits
from bot_visits join placed on placed.purpose is not distinct from bot_visits.purpose
where placed.place <= 6
group by placed.place, placed.total, bot_visits.purpose, bot_visits.date
order by placed.place, bot_visits.date
