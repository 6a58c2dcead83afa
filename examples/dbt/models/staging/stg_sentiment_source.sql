-- One row per day, category, owned asset and theme with the websites that answers cite for it.
with websites as (
    select
        date,
        category_id,
        asset_id,
        theme.name as theme,
        unnest(cited_websites) as website
    from {{ source('profound', 'sentiment_v2_by_theme') }}
)

-- Themes have ids there and names elsewhere: two ids with one name are one theme.
select
    date,
    category_id,
    asset_id,
    theme,
    list(distinct website order by website) as sources
from websites
group by all
