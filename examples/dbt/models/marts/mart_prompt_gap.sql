-- One row per week from Monday, category and prompt with an answer that names a competitor and none of our assets.
with named as (
    select
        mentions.run_id,
        bool_or(assets.is_owned) as names_us,
        list(assets.asset) filter (not assets.is_owned) as competitors
    from {{ ref('bridge_answer_mention') }} as mentions
    -- Entities that the account does not track are neither ours nor a competitor.
    inner join {{ ref('dim_asset') }} as assets using (category_id, asset)
    group by all
),

answers as (
    select
        date_trunc('week', answers.date)::date as week_start,
        answers.category_id,
        answers.prompt_id,
        answers.run_id,
        named.competitors,
        -- An answer without a mention is no gap.
        coalesce(not named.names_us, false) as is_gap
    from {{ ref('fct_answer') }} as answers
    left join named using (run_id)
    -- A category without an asset of ours has no gap.
    where answers.category_id in (select category_id from {{ ref('dim_asset') }} where is_owned)
),

competitors as (
    select week_start, category_id, prompt_id, list(distinct competitor order by competitor) as competitors
    from (select *, unnest(competitors) as competitor from answers where is_gap)
    group by all
),

domains as (
    select answers.week_start, answers.category_id, answers.prompt_id, citations.domain, count(*) as times
    from answers
    inner join {{ ref('bridge_answer_citation') }} as citations using (run_id)
    where answers.is_gap
    group by all
),

cited as (
    select week_start, category_id, prompt_id, list(domain order by times desc, domain)[:5] as cited_domains
    from domains
    group by all
)

select
    answers.week_start,
    answers.category_id,
    answers.prompt_id,
    prompts.prompt,
    count(*) as answers,
    count(*) filter (answers.is_gap) as gap_answers,
    any_value(competitors.competitors) as competitors,
    any_value(cited.cited_domains) as cited_domains
from answers
-- A deleted prompt has answers and no row in the list.
left join {{ ref('dim_prompt') }} as prompts on prompts.prompt_id = answers.prompt_id
left join competitors
    on competitors.week_start = answers.week_start
    and competitors.category_id = answers.category_id
    and competitors.prompt_id = answers.prompt_id
left join cited
    on cited.week_start = answers.week_start
    and cited.category_id = answers.category_id
    and cited.prompt_id = answers.prompt_id
group by all
having gap_answers > 0
