-- One row per day, category, asset, breakdown (model, region, persona, topic, tag) and its member.
-- A breakdown has its own report: figures of one are never made from those of another.
{% for breakdown in ['model', 'region', 'persona', 'topic'] %}
select
    date,
    category_id,
    asset.name as asset,
    '{{ breakdown }}' as breakdown,
    {{ breakdown }}.name as member,
    visibility_score,
    share_of_voice,
    average_position
from {{ source('profound', 'visibility_v2_by_' ~ breakdown) }}

union all
{% endfor %}
-- Version 2 does not group by tag. A prompt counts for each of its tags, so never sum over this breakdown.
select
    date,
    category_id,
    asset_name as asset,
    'tag' as breakdown,
    nullif(tag, '(none)') as member,
    visibility_score,
    share_of_voice,
    average_position
from {{ source('profound', 'visibility_v1_by_tag') }}
