-- One row per answer and citation, in order. An answer may cite a page twice.
-- depends_on: {{ ref('stg_coverage') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook='{{ delete_changed_days() }}') }}

with citations as (
    select
        run_id,
        category_id,
        date,
        generate_subscripts(citations, 1) as position,
        unnest(citations) as url,
        _extracted_at
    from {{ ref('stg_answer') }}
    {{ only_absent_days() }}
)

select
    run_id,
    category_id,
    date,
    position,
    url,
    -- As reports on citations write it: without a scheme, and mostly without `www.`.
    regexp_replace(url, '^https?://', '') as page,
    regexp_extract(url, '^https?://([^/?#]+)', 1) as domain,
    _extracted_at
from citations
