select stream, max(case when row_count is not null then day end) as newest_day, max(extracted) as extracted,
  cast(sum(row_count) as double) as row_count,
  count(distinct case when status = 'provisional' then day end) as provisional,
  count(distinct case when status = 'missing' then day end) as missing,
  count(distinct case when status = 'suspect' then day end) as suspect,
  count(distinct case when status = 'stale' then day end) as stale,
  sum(case when status = 'not_entitled' then 1 else 0 end) as not_entitled
from coverage
group by stream
order by stream
