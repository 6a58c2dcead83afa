{#- Incremental models of answers replace whole days, as the API restates them.

    The change marker is `changed_at` of the coverage table: when the rows of a day last became different ones. Rows carry the time of
    their request, and it is that very time, so the target itself says which days it has of which reading. Nothing is remembered
    elsewhere, no clock is compared, and Delta tables that lag behind the coverage table are read once more instead of believed. -#}

{#- First: delete the days that have changed since they were loaded, and those that the lake no longer has (`forget`). -#}
{% macro delete_changed_days() %}
{% if is_incremental() %}
delete from {{ this }}
where (category_id, date) in (
    select loaded.category_id, loaded.date
    from (select category_id, date, min(_extracted_at) as extracted_at from {{ this }} group by all) as loaded
    left join {{ ref('stg_coverage') }} as lake
        on lake.stream = 'answers_v2'
        and lake.category_id = loaded.category_id
        and lake.day = loaded.date
    where lake.changed_at is null or lake.changed_at > loaded.extracted_at
)
{% endif %}
{% endmacro %}

{#- Then: load the days that the target lacks. That is decided from the target alone, so that a day which changes between the two
    statements waits for the next run instead of being loaded twice. -#}
{% macro only_absent_days() %}
{% if is_incremental() %}
where (category_id, date) not in (select category_id, date from {{ this }})
{% endif %}
{% endmacro %}
