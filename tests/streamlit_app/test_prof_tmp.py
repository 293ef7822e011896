import cProfile, pstats, time
from app_stub import open_app
def test_p(stub):
    app = open_app()
    for i in range(3): app.text_area(key="ask_text").set_value(f"I love the iPad {i}").run()
    import threading
    pr = cProfile.Profile(); threading.setprofile(None)
    import streamlit.runtime.scriptrunner.script_runner as sr
    orig = sr.ScriptRunner._run_script
    def run(self, *a, **k):
        pr.enable()
        try: return orig(self, *a, **k)
        finally: pr.disable()
    sr.ScriptRunner._run_script = run
    t=time.process_time()
    for i in range(10): app.text_area(key="ask_text").set_value(f"I hate the iPad {i}").run()
    print("cpu", (time.process_time()-t)/10)
    pstats.Stats(pr).sort_stats("cumtime").print_stats(70)
    sr.ScriptRunner._run_script = orig
