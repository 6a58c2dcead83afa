-- One row per day, category, prompt, search and answer engine. The report names prompts by text and has no ids.
select
    date,
    category_id,
    prompt,
    query,
    model,
    -- Of the report's figures the only one that may be summed, here over regions.
    sum(total_fanouts) as fanouts
from {{ source('profound', 'query_fanouts_v2_by_query') }}
group by all
