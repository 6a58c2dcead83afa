-- One row per answer.
select
    run_id,
    category_id,
    date,
    model.id as model_id,
    model.name as model,
    topic_id,
    topic,
    region,
    persona,
    prompt_id,
    mentions,
    citations,
    search_queries,
    _extracted_at
from {{ source('profound', 'answers_v2') }}
