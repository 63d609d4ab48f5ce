from ded_ray.curate.mix import Kept, mixed


def kept(subject, problem, count, group=""):
    return [Kept(subject, problem, i, f"{problem}{group}", 7 - i) for i in range(count)]


def test_each_subject_gets_its_number_in_whole_questions():
    corpus = [one for i in range(10) for one in kept("math", f"m{i}", 4)] + kept("code", "c", 3) + kept("chess", "x", 4)
    staying = mixed(corpus, {"math": 10, "code": 5}, seed=0)
    by_question = {}
    for group, rollout in staying:
        by_question.setdefault(group, set()).add(rollout)
    assert by_question.pop("c") == {7, 6, 5}
    assert sorted(map(len, by_question.values())) == [2, 4, 4]
    assert all(rollouts in ({7, 6}, {7, 6, 5, 4}) for rollouts in by_question.values()), "the first picks stay"
    assert mixed(corpus, {"math": 10, "code": 5}, seed=0) == staying
    assert mixed(corpus, {"math": 10}, seed=1) != mixed(corpus, {"math": 10}, seed=2)
    assert mixed(corpus, {}, seed=0) == set()


def test_the_answers_of_several_teachers_to_a_question_stay_together():
    corpus = [one for i in range(5) for teacher in "ab" for one in kept("math", f"m{i}", 2, teacher)]
    staying = mixed(corpus, {"math": 8}, seed=0)
    assert sorted(len([1 for group, _ in staying if group.startswith(f"m{i}")]) for i in range(5)) == [0, 0, 0, 4, 4]
