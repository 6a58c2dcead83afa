-- One row per UTC day, domain, host, path and kind of visit: of bots by purpose, and of people by who sent them.
{% set purposes = ['training', 'indexing', 'citations', 'agents'] %}

{% for purpose in purposes %}
select
    date,
    organization_id,
    domain_name,
    host,
    path,
    '{{ purpose }}' as kind,
    sum({{ purpose }}) as visits
from {{ source('profound', 'bots_v2') }}
group by all

union all
{% endfor %}
select
    date,
    organization_id,
    domain_name,
    host,
    path,
    'referrals' as kind,
    sum(visits) as visits
from {{ source('profound', 'referrals_v2') }}
-- The report has every visitor; those sent by an answer engine are the question.
where referral_source not in ('other', 'internal', 'none')
group by all
