{#- Every combination of these columns occurs once: the grain of a model. Null is a value here. -#}
{% test grain(model, columns) %}
select {{ columns | join(', ') }}, count(*) as times
from {{ model }}
group by all
having count(*) > 1
{% endtest %}

{#- A column of shares sums to one within each group, but for rounding. -#}
{% test sums_to_one(model, column_name, by) %}
select {{ by | join(', ') }}, sum({{ column_name }}) as total
from {{ model }}
group by all
having abs(sum({{ column_name }}) - 1) > 0.001
{% endtest %}

{#- Every row has at most one partner in `to`, compared with the rows of the model alone. -#}
{% test joins_without_multiplying(model, to, using) %}
with joined as (
    select count(*) as rows
    from {{ model }}
    left join {{ to }} using ({{ using | join(', ') }})
),

alone as (
    select count(*) as rows from {{ model }}
)

select joined.rows as joined_rows, alone.rows as own_rows
from joined
cross join alone
where joined.rows <> alone.rows
{% endtest %}

{#- Two figures of each key that must agree: of the model's sum, and of the API's own report. A key that only one of them has counts as
    zero there. With the variable `tolerance` at -1 it is every key that is compared. -#}
{% macro differences(ours, theirs, by, tolerance=0.0001) %}
select
    {{ by | join(', ') }},
    ours.figure as our_figure,
    theirs.figure as their_figure
from {{ ours }} as ours
full join {{ theirs }} as theirs using ({{ by | join(', ') }})
where abs(coalesce(ours.figure, 0) - coalesce(theirs.figure, 0)) > {{ var('tolerance', tolerance) }}
{% endmacro %}
