with ours as (
  select asset, date, share_of_voice, visibility, mean_rank,
    row_number() over (order by date desc, share_of_voice desc, asset) as place
  from shares
  where owned = 1 and share_of_voice is not null
), newest as (
  select * from ours where place = 1
), rated as (
  select shares.asset, rank() over (order by shares.share_of_voice desc) as place, count(*) over () as assets
  from shares join newest on newest.date = shares.date
  where shares.share_of_voice is not null
), earlier as (
  select shares.*, row_number() over (order by shares.date desc) as place
  from shares, newest, period
  where shares.asset = newest.asset and shares.date < period.week_from and shares.share_of_voice is not null
)
select newest.asset, newest.date, earlier.date as date_before,
  newest.share_of_voice, newest.share_of_voice - earlier.share_of_voice as share_change,
  newest.visibility, newest.visibility - earlier.visibility as visibility_change,
  newest.mean_rank, newest.mean_rank - earlier.mean_rank as rank_change,
  rated.place, rated.assets
from newest
join rated on rated.asset = newest.asset
left join earlier on earlier.place = 1
