"""Pages that show how the recommender does; they need nothing from outside."""
