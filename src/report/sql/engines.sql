with ours as (
  select asset, row_number() over (order by date desc, share_of_voice desc, asset) as place
  from shares
  where owned = 1 and share_of_voice is not null
), scores as (
  select engine, engine_shares.asset, owned, date, visibility,
    case when date >= week_from then 1 else 0 end as is_recent,
    row_number() over (
      partition by engine, engine_shares.asset, case when date >= week_from then 1 else 0 end order by date desc
    ) as age
  from engine_shares, period
  where date >= before_from and visibility is not null
), recent as (
  select * from scores where age = 1 and is_recent = 1
), rivals as (
  select engine, asset, visibility, row_number() over (partition by engine order by visibility desc, asset) as place
  from recent
  where owned = 0
), mine as (
  select recent.* from recent join ours on ours.asset = recent.asset and ours.place = 1
), before as (
  select scores.* from scores join ours on ours.asset = scores.asset and ours.place = 1
  where scores.age = 1 and scores.is_recent = 0
), engines as (
  select distinct engine from recent
)
select engines.engine, mine.asset, mine.date, mine.visibility, mine.visibility - before.visibility as change,
  rivals.asset as rival, rivals.visibility as rival_visibility
from engines
left join mine on mine.engine = engines.engine
left join before on before.engine = engines.engine
left join rivals on rivals.engine = engines.engine and rivals.place = 1
order by coalesce(mine.visibility, -1) desc, engines.engine
