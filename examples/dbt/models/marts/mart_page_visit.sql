-- One row per UTC day, domain, host and path: from crawl to citation to visitor.
select
    date,
    organization_id,
    domain_name,
    host,
    path,
    {%- for kind in ['training', 'indexing', 'citations', 'agents', 'referrals'] %}
    coalesce(sum(visits) filter (kind = '{{ kind }}'), 0) as {{ kind }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ ref('stg_visit') }}
group by all
