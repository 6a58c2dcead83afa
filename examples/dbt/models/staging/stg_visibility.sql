-- One row per period, its first day, category and asset: days, weeks from Monday to Sunday, and months, each computed by the API.
{% set streams = {'day': 'visibility_v2_by_day', 'week': 'visibility_v2_week', 'month': 'visibility_v2_month'} %}

{% for period, stream in streams.items() %}
select
    '{{ period }}' as period,
    -- Weeks and months have no date: each file is one of them, and begins with it.
    {{ 'date' if period == 'day' else '_window_start' }} as period_start,
    category_id,
    asset.name as asset,
    asset.owned as is_owned,
    visibility_score,
    share_of_voice,
    average_position
from {{ source('profound', stream) }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
