"""The suite's word lists. Together with the templates they make a vocabulary of a few hundred words."""

PEOPLE = ("mia", "tom", "ana", "ben", "eva", "leo", "zoe", "max", "ida", "sam", "amy", "kai")
JOBS = ("nurse", "baker", "clerk", "pilot", "farmer", "tailor", "judge", "miner", "singer", "guard")
GUESTS = ("abe", "bea", "cal", "dot", "fay", "gus", "ivy", "ned", "ola", "ty", "una", "wes")
ROOMS = ("kitchen", "garden")
STAYS = ("waits", "sleeps", "reads", "works", "sings", "rests")
OWNERS = ("king", "queen", "prince", "duke", "monk", "knight", "maid", "cook", "count", "abbot", "bard", "page")
THINGS = ("lamp", "chair")
HOLDS = ("owns", "keeps", "hides", "guards", "cleans", "paints")
HOURS = ("noon", "night")
SEASONS = ("summer", "winter")
FRIENDS = (("hal", "joe"), ("liz", "pia"))
GIVES = ("gave", "sent", "handed", "lent", "sold", "threw")
PREY = (("cat", "dog"), ("fox", "bear"))
HUNTS = ("chased", "followed", "watched", "scared", "heard", "pushed", "tricked", "found", "warned")
GIFTS = (
    "book",
    "ring",
    "coat",
    "letter",
    "knife",
    "map",
    "violin",
    "cake",
    "hat",
    "flute",
    "pen",
    "comb",
    "drink",
    "scarf",
    "stamp",
    "coin",
    "toy",
    "bell",
    "vase",
    "rose",
)
PLACES = ("field", "forest", "yard", "barn", "valley", "desert", "swamp", "canyon", "meadow", "orchard", "pond", "cave")
CITIES = ("paris", "cairo", "lima", "oslo", "delhi", "tokyo", "rome", "quito", "dublin", "athens")
VEHICLES = ("train", "bus", "boat", "plane", "bike", "truck")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
GOODS = ("apples", "candles", "eggs", "pears", "shirts", "spoons", "bottles", "carpets", "onions", "plates")
SHOPS = ("market", "store", "stall", "depot", "mill", "bazaar", "kiosk", "shop")
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")

FILM_PARTS = ("plot", "cast", "music", "ending", "script", "hero", "dialogue", "camera")
DISHES = ("soup", "curry", "salad", "stew", "pasta", "steak", "pie", "rice")
DISH_PARTS = ("sauce", "crust", "service", "spice", "broth", "bread")
PRAISE = ("great", "lovely", "superb", "brilliant", "charming", "perfect", "delightful", "splendid")
BLAME = ("awful", "boring", "dreadful", "terrible", "weak", "horrible", "dismal", "lousy")

CAFES = ("alba", "bravo", "corso", "delta", "fiora", "gusto")
FOODS = ("thai", "french", "indian", "greek", "mexican", "italian")
AREAS = ("riverside", "centre", "harbour", "suburb", "station")
PRICES = ("cheap", "fancy", "modest", "costly")

ACTORS = ("boy", "girl", "dancer", "chef", "worker", "teacher", "doctor", "painter")
ACTIONS = ("kick", "paint", "carry", "wash", "throw", "open", "repair", "lift")
OBJECTS = ("ball", "door", "box", "wall", "boat", "table", "fence", "window")
SITES = ("park", "street", "studio", "beach", "school", "market")

TOWNS = ("arden", "belmont", "calder", "dunmore", "elmwood", "farley")
DEEDS = ("opened", "closed", "repaired", "sold")
BUILDINGS = ("bridge", "museum", "theatre", "hospital", "stadium", "pool")
LANDMARKS = ("river", "castle", "square", "hill", "lake")
WEATHER = ("mild", "windy", "rainy", "sunny", "cold")
MOODS = ("happy", "angry", "quiet", "proud")
TEAMS = ("lions", "eagles", "sharks", "tigers", "bulls", "hawks")
CROWDS = ("small", "huge", "loud", "calm")

# Words that head the parts of a prompt. The pre-training text lists them once, so that each is one token.
HEADINGS = (
    *("answer", "claim", "comment", "concepts", "deal", "facts", "first", "given", "headline", "hypothesis", "match"),
    *("meaning", "one", "opinion", "other", "premise", "query", "question", "relation", "reply", "report", "review"),
    *("scene", "second", "sentence", "story", "summary", "verdict"),
)
