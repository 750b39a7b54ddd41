"""A chat model that streams. LangGraph reports each token of the model, and Tailrace streams it into the response.

Run it, and send any text on the page:

    cp -r examples/2_streaming functions/ && make run AGENT=2_streaming

The model is a fake one that tells the same story each time. To use a real one, name it:
`make run AGENT=2_streaming MODEL=openai:gpt-5.1`, with the key in OPENAI_API_KEY.
"""

from langchain_core.language_models import FakeListChatModel
from langgraph.graph import START, MessagesState, StateGraph
from mangum import Mangum

from tailrace import AgentApp, AgentCard
from tailrace.chat_model import chat_model

STORY = "A river drove a mill, and no water was lost."
model = chat_model() or FakeListChatModel(responses=[STORY], sleep=0.03)  # seconds between two tokens


async def tell_story(state: MessagesState) -> MessagesState:
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node(tell_story).add_edge(START, "tell_story")
app = AgentApp(graph, AgentCard(name="2_streaming", description="Tells stories.", version="1", skills=[]))
handler = Mangum(app, lifespan="off")  # for AWS Lambda
