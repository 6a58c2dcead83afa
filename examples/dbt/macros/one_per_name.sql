{#- One row per category and name of a list. Reports name what they count, lists repeat it for every organization that owns the
    category: a join by name alone multiplies rows. The id is null where one name has several. -#}
{% macro one_per_name(entity, stream, category_id='category_id', more=[]) %}
select
    {{ category_id }} as category_id,
    name as {{ entity }},
    case when count(distinct id) = 1 then min(id) end as {{ entity }}_id
    {%- for column in more %},
    {{ column }}
    {%- endfor %}
from {{ source('profound', stream) }}
group by all
{% endmacro %}
