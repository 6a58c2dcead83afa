-- One row per day, category, asset and theme: assessments, which may be summed.
select
    date,
    category_id,
    asset_id,
    asset_name as asset,
    theme,
    sum(positive) as positive,
    sum(negative) as negative,
    sum(occurrences) as occurrences
from {{ source('profound', 'sentiment_v1') }}
group by all
