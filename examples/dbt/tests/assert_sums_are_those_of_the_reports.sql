-- No visit and no search is lost or counted twice between the reports and the marts, by day and what the report was requested for.
with ours as (
    select 'bots' as what, date, domain_name as requested, sum(training + indexing + citations + agents) as figure
    from {{ ref('mart_page_visit') }}
    group by all
    union all
    select 'referrals', date, domain_name, sum(referrals)
    from {{ ref('mart_page_visit') }}
    group by all
    union all
    select 'fanouts', date, category_id, sum(fanouts)
    from {{ ref('mart_fanout') }}
    group by all
),

theirs as (
    select 'bots' as what, date, domain_name as requested, sum(training + indexing + citations + agents) as figure
    from {{ source('profound', 'bots_v2') }}
    group by all
    union all
    select 'referrals', date, domain_name, sum(visits)
    from {{ source('profound', 'referrals_v2') }}
    where referral_source not in ('other', 'internal', 'none')
    group by all
    union all
    select 'fanouts', date, category_id, sum(total_fanouts)
    from {{ source('profound', 'query_fanouts_v2_by_query') }}
    group by all
)

{{ differences('ours', 'theirs', ['what', 'date', 'requested']) }}
