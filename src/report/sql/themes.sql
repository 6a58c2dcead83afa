with scores as (
  select asset, theme, date, positive, occurrence,
    case when date >= week_from then 1 else 0 end as is_recent,
    row_number() over (
      partition by asset, theme, case when date >= week_from then 1 else 0 end
      order by date desc, occurrence desc, positive desc
    ) as age
  from theme_days, period
  where positive is not null
), recent as (
  select scores.*, row_number() over (partition by asset order by occurrence desc, theme) as place,
    count(*) over () as total
  from scores
  where age = 1 and is_recent = 1
)
select recent.asset, recent.theme, recent.positive, recent.positive - before.positive as change, recent.occurrence,
  recent.date, recent.total
from recent
left join scores as before
  on before.asset = recent.asset and before.theme = recent.theme and before.age = 1 and before.is_recent = 0
where recent.place <= 8
order by recent.asset, recent.place
