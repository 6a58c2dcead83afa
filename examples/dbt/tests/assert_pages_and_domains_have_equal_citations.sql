-- Both reports on citations count the same ones: pages, summed from days, and domains, counted by the API for the week.
{{ config(severity='warn') }}

with ours as (
    select week_start, category_id, sum(citations) as figure
    from {{ ref('stg_citation_week') }}
    where entity_type = 'page'
    group by all
),

theirs as (
    select week_start, category_id, sum(citations) as figure
    from {{ ref('stg_citation_week') }}
    where entity_type = 'domain'
    group by all
)

select *
from ({{ differences('ours', 'theirs', ['week_start', 'category_id']) }})
-- The lake may begin within a week, which only the weekly report has.
where our_figure is not null and their_figure is not null
