"""Kafka source and sink, consumers, producers and their settings. No models here."""
