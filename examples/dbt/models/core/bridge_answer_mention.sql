-- One row per answer and entity that it mentions, in order.
-- depends_on: {{ ref('stg_coverage') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook='{{ delete_changed_days() }}') }}

select
    run_id,
    category_id,
    date,
    generate_subscripts(mentions, 1) as position,
    unnest(mentions) as asset,
    _extracted_at
from {{ ref('stg_answer') }}
{{ only_absent_days() }}
