{#- Category and first day of each week or month of which the lake has every day of a stream: only they may be summed from days. -#}
{% macro whole_periods(stream, period) %}
select category_id, date_trunc('{{ period }}', day)::date as period_start
from {{ ref('stg_coverage') }}
where stream = '{{ stream }}' and extracted_at is not null
-- Not `all`: a name in `having` would become a part of the group.
group by category_id, period_start
having count(*) = (period_start + interval 1 {{ period }})::date - period_start
{% endmacro %}
