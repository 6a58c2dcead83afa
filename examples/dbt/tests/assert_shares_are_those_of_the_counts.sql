-- Share of voice of a day, a week and a month is the asset's mentions by those of all assets, from the counts of version 1: the proof that
-- no period was averaged from another.
{{ config(severity='warn') }}

with ours as (
{% for period in ['day', 'week', 'month'] %}
    select
        '{{ period }}' as period,
        date_trunc('{{ period }}', date)::date as period_start,
        category_id,
        asset,
        -- Without any mention there is no share.
        sum(mentions) / nullif(sum(sum(mentions)) over (
            partition by category_id, date_trunc('{{ period }}', date)::date
        ), 0) as figure
    from {{ ref('stg_visibility_count') }}
    where (category_id, date_trunc('{{ period }}', date)::date) in ({{ whole_periods('visibility_v1', period) }})
    group by category_id, date_trunc('{{ period }}', date)::date, asset
    {% if not loop.last %}union all{% endif %}
{% endfor %}
),

theirs as (
    select period, period_start, category_id, asset, share_of_voice as figure
    from {{ ref('mart_share_of_voice') }}
),

-- The lake may begin within a period, and the current one is not over.
comparable as (
    select period, period_start, category_id from ours
    intersect
    select period, period_start, category_id from theirs
)

select *
from ({{ differences('ours', 'theirs', ['period', 'period_start', 'category_id', 'asset']) }})
inner join comparable using (period, period_start, category_id)
