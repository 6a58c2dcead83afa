-- One row per answer, without its text.
-- depends_on: {{ ref('stg_coverage') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook='{{ delete_changed_days() }}') }}

select
    run_id,
    category_id,
    date,
    model_id,
    model,
    topic,
    region,
    persona,
    prompt_id,
    -- The API leaves a list out where there is nothing to list.
    coalesce(len(mentions), 0) as mention_count,
    coalesce(len(citations), 0) as citation_count,
    coalesce(len(search_queries), 0) as search_count,
    _extracted_at
from {{ ref('stg_answer') }}
{{ only_absent_days() }}
