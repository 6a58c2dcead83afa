-- One row per week from Monday to Sunday, category, kind of entity (domain or page) and entity.
select
    _window_start as week_start,
    category_id,
    'domain' as entity_type,
    domain as entity,
    count as citations,
    citation_share
from {{ source('profound', 'citations_v2_domain_week') }}

union all

-- Pages have no weekly report. Their counts may be summed over days; their share, a mean over answer engines, may not.
select
    date_trunc('week', date)::date as week_start,
    category_id,
    'page' as entity_type,
    page as entity,
    sum(count) as citations,
    null as citation_share
from {{ source('profound', 'citations_v2_page_by_day') }}
where (category_id, date_trunc('week', date)::date) in ({{ whole_periods('citations_v2_page_by_day', 'week') }})
group by all
