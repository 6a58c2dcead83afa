with ours as materialized (
  select distinct name from asset_list where owned = 1
), rivals as materialized (
  select distinct name from asset_list where owned = 0 and name not in (select name from ours)
), named as materialized (
  select run_id, max(case when asset in (select name from ours) then 1 else 0 end) as is_ours,
    max(case when asset in (select name from rivals) then 1 else 0 end) as is_rival
  from mentions
  group by run_id
), gaps as materialized (
  select answers.run_id, answers.prompt_id
  from answers join named on named.run_id = answers.run_id
  where named.is_rival = 1 and named.is_ours = 0
), counted as (
  select answers.prompt_id, max(answers.prompt) as prompt, count(*) as answers, count(gaps.run_id) as gaps,
    sum(coalesce(named.is_ours, 0)) as ours
  from answers
  left join named on named.run_id = answers.run_id
  left join gaps on gaps.run_id = answers.run_id
  group by answers.prompt_id
), leaders as (
  select gaps.prompt_id, mentions.asset,
    row_number() over (partition by gaps.prompt_id order by count(distinct gaps.run_id) desc, mentions.asset) as place
  from gaps join mentions on mentions.run_id = gaps.run_id
  where mentions.asset in (select name from rivals)
  group by gaps.prompt_id, mentions.asset
), pages as materialized (
  select distinct run_id, substr(url, instr(url, '://') + 3) as page from cited_urls where instr(url, '://') > 0
), hosts as (
  select gaps.prompt_id, substr(page, 1, instr(page || '/', '/') - 1) as host,
    row_number() over (
      partition by gaps.prompt_id
      order by count(distinct gaps.run_id) desc, substr(page, 1, instr(page || '/', '/') - 1)
    ) as place
  from gaps join pages on pages.run_id = gaps.run_id
  group by gaps.prompt_id, substr(page, 1, instr(page || '/', '/') - 1)
)
select counted.prompt, counted.gaps, counted.answers, cast(counted.ours as double) as ours, leaders.asset as rival,
  hosts.host, count(*) over () as total
from counted
left join leaders on leaders.prompt_id = counted.prompt_id and leaders.place = 1
left join hosts on hosts.prompt_id = counted.prompt_id and hosts.place = 1
where counted.gaps > 0
order by counted.gaps desc, counted.answers, counted.prompt_id
limit 10
