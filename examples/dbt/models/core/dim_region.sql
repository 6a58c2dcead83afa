-- One row per category and name of a region.
{{ one_per_name('region', 'category_regions') }}
