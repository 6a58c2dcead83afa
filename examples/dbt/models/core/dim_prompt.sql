-- One row per prompt. Answers have its id; only fan-outs name it by its text.
select
    id as prompt_id,
    category_id,
    prompt,
    topic.id as topic_id,
    topic.name as topic,
    language,
    status = 'active' as is_active,
    -- Whether a join by category and text finds this prompt and no other.
    count(*) over (partition by category_id, prompt) = 1 as is_only_of_text,
    created_at
from {{ source('profound', 'prompts') }}
