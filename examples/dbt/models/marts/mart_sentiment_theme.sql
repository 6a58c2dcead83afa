-- One row per day, category, asset and theme: assessments, and for owned assets the websites behind them.
select
    counts.date,
    counts.category_id,
    counts.asset,
    counts.theme,
    counts.positive,
    counts.negative,
    counts.occurrences,
    sources.sources
from {{ ref('stg_sentiment_count') }} as counts
left join {{ ref('stg_sentiment_source') }} as sources using (date, category_id, asset_id, theme)
