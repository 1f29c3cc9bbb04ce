"""How written English is read aloud: numbers, dates, money, units, abbreviations, addresses."""
