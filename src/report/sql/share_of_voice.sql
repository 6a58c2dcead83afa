with newest as (
  select asset, owned, date, share_of_voice, row_number() over (partition by asset order by date desc) as age
  from shares
  where share_of_voice is not null
), placed as (
  select asset, row_number() over (order by owned desc, date desc, share_of_voice desc, asset) as place,
    count(*) over () as total
  from newest
  where age = 1
)
select placed.place, placed.total, shares.asset, shares.owned, shares.date, shares.share_of_voice
from shares join placed on placed.asset = shares.asset
where placed.place <= 6 and shares.share_of_voice is not null
order by placed.place, shares.date
