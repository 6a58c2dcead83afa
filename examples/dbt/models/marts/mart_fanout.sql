-- One row per day, category, prompt and search that answer engines made for it.
select
    fanouts.date,
    fanouts.category_id,
    fanouts.prompt,
    prompts.topic,
    fanouts.query,
    sum(fanouts.fanouts) as fanouts,
    list(distinct fanouts.model order by fanouts.model) as models
from {{ ref('stg_fanout') }} as fanouts
-- By text: where two prompts share one, the topic is not known.
left join {{ ref('dim_prompt') }} as prompts
    on prompts.category_id = fanouts.category_id
    and prompts.prompt = fanouts.prompt
    and prompts.is_only_of_text
group by all
