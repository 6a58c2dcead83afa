-- No report counts a mention that the answers lack, by day, answer engine and asset. It may count fewer: reports have analysis types.
{{ config(severity='warn') }}

with ours as (
    select answers.category_id, answers.date, answers.model, mentions.asset, count(*) as figure
    from {{ ref('bridge_answer_mention') }} as mentions
    inner join {{ ref('fct_answer') }} as answers using (run_id)
    group by all
),

theirs as (
    select category_id, date, model, asset, sum(mentions) as figure
    from {{ ref('stg_visibility_count') }}
    group by all
)

select *
from ({{ differences('ours', 'theirs', ['category_id', 'date', 'model', 'asset']) }})
where coalesce(our_figure, 0) < their_figure
