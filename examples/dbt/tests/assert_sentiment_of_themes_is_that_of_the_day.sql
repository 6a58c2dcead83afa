-- Assessments of all themes give the positive share that the API reports for the day, from 0 to 100.
{{ config(severity='warn') }}

with ours as (
    select category_id, date, asset, 100 * sum(positive) / nullif(sum(occurrences), 0) as figure
    from {{ ref('mart_sentiment_theme') }}
    -- The report exists for owned assets alone.
    inner join {{ ref('dim_asset') }} as assets using (category_id, asset)
    where assets.is_owned
    group by all
),

theirs as (
    select category_id, date, asset_name as asset, positive_sentiment as figure
    from {{ source('profound', 'sentiment_v2_by_day') }}
)

{{ differences('ours', 'theirs', ['category_id', 'date', 'asset'], tolerance=0.01) }}
