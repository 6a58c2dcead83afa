-- One row per period (day, week, month), category and asset: how we compare with every competitor, and with the period before.
with shares as (
    select
        *,
        -- The period before on the calendar, not the last one that exists: a gap must not look like a change.
        (period_start - case period
            when 'day' then interval 1 day
            when 'week' then interval 7 day
            else interval 1 month
        end)::date as previous_start
    from {{ ref('stg_visibility') }}
)

select
    shares.period,
    shares.period_start,
    shares.category_id,
    shares.asset,
    shares.is_owned,
    shares.share_of_voice,
    shares.share_of_voice - previous.share_of_voice as share_of_voice_change,
    rank() over (
        partition by shares.period, shares.period_start, shares.category_id
        order by shares.share_of_voice desc
    ) as place,
    shares.visibility_score,
    shares.average_position
from shares
left join shares as previous
    on previous.period = shares.period
    and previous.period_start = shares.previous_start
    and previous.category_id = shares.category_id
    and previous.asset = shares.asset
