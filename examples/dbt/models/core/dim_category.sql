-- One row per category, under its current name: rows of reports have the name of the day on which they were written.
select
    id as category_id,
    min(name) as category,
    list(distinct organization.id order by organization.id) as organization_ids
from {{ source('profound', 'categories') }}
group by all
