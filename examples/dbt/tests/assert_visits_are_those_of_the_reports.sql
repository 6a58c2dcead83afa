-- No visit is lost or counted twice between the two reports and the mart.
with ours as (
    select date, domain_name, organization_id, sum(training + indexing + citations + agents) as figure
    from {{ ref('mart_page_visit') }}
    group by all
),

theirs as (
    select date, domain_name, organization_id, sum(training + indexing + citations + agents) as figure
    from {{ source('profound', 'bots_v2') }}
    group by all
)

{{ differences('ours', 'theirs', ['date', 'domain_name', 'organization_id']) }}
