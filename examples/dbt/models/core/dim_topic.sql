-- One row per category and name of a topic.
{{ one_per_name('topic', 'category_topics', more=["bool_or(status = 'active') as is_active"]) }}
