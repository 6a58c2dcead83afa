-- One row per stream, scope and day that a job wants or has, and one per list.
select
    stream,
    category_id,
    asset_id,
    organization_id,
    domain_name,
    day,
    status,
    rows,
    extracted_at,
    changed_at,
    problem
from {{ source('profound_export', 'coverage') }}
