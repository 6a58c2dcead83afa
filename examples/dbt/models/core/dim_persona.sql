-- One row per category and name of a persona.
{{ one_per_name('persona', 'personas', 'category.id') }}
