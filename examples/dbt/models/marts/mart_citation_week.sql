-- One row per week, category, kind of entity and entity that was cited in this week or the one before.
with weeks as (
    select distinct week_start, category_id, entity_type from {{ ref('stg_citation_week') }}
),

-- What a week may have won, kept or lost: everything that was cited in it or in the week before.
entities as (
    select week_start, category_id, entity_type, entity from {{ ref('stg_citation_week') }}
    union
    select weeks.week_start, weeks.category_id, weeks.entity_type, before.entity
    from weeks
    inner join {{ ref('stg_citation_week') }} as before
        on before.week_start = weeks.week_start - 7
        and before.category_id = weeks.category_id
        and before.entity_type = weeks.entity_type
),

compared as (
    select
        entities.*,
        coalesce(this_week.citations, 0) as citations,
        this_week.citation_share,
        -- Null in the first week: what was not measured was neither won nor kept.
        case when earlier.week_start is not null then coalesce(last_week.citations, 0) end as citations_before
    from entities
    left join {{ ref('stg_citation_week') }} as this_week using (week_start, category_id, entity_type, entity)
    left join {{ ref('stg_citation_week') }} as last_week
        on last_week.week_start = entities.week_start - 7
        and last_week.category_id = entities.category_id
        and last_week.entity_type = entities.entity_type
        and last_week.entity = entities.entity
    left join weeks as earlier
        on earlier.week_start = entities.week_start - 7
        and earlier.category_id = entities.category_id
        and earlier.entity_type = entities.entity_type
)

select
    *,
    citations / nullif(sum(citations) over (partition by week_start, category_id, entity_type), 0) as share_of_citations,
    case
        when citations_before = 0 then 'won'
        when citations_before > 0 and citations = 0 then 'lost'
        when citations_before > 0 then 'kept'
    end as movement
from compared
