-- One row per day, category, asset, answer engine, topic, region, persona and prompt: the only visibility figures that may be summed.
select
    date,
    category_id,
    asset_id,
    asset_name as asset,
    model,
    topic,
    region,
    -- Version 1 has a text where answers have null.
    nullif(persona, '(none)') as persona,
    prompt_id,
    executions,
    mentions_count as mentions
from {{ source('profound', 'visibility_v1') }}
