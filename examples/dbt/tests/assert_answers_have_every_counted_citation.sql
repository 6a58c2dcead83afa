-- No report counts a citation that the answers lack, by day and page. It may count fewer: reports have analysis types.
{{ config(severity='warn') }}

with ours as (
    select category_id, date, page, count(*) as figure
    from {{ ref('bridge_answer_citation') }}
    group by all
),

theirs as (
    select category_id, date, page, sum(count) as figure
    from {{ source('profound', 'citations_v2_page_by_day') }}
    group by all
)

select *
from ({{ differences('ours', 'theirs', ['category_id', 'date', 'page']) }})
where coalesce(our_figure, 0) < their_figure
