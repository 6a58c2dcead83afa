with placed as (
  select source, row_number() over (order by sum(visits) desc, source) as place, count(*) over () as total
  from referral_visits
  where source not in ('other', 'internal', 'none')
  group by source
)
select placed.place, placed.total, referral_visits.source, referral_visits.date, cast(sum(referral_visits.visits) as double) as visits
from referral_visits join placed on placed.source is not distinct from referral_visits.source
where placed.place <= 6
group by placed.place, placed.total, referral_visits.source, referral_visits.date
order by placed.place, referral_visits.date
